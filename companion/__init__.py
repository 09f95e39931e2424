import sys

# With it installed (JupyterLab brings it), whoever imports jsonschema, as nbformat and Altair do,
# waits more than a second for a grammar of internationalised addresses. Nothing here needs it.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
