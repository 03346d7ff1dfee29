"""What a page says."""

import re


def shown(app):
    """Return all text that a page shows outside of tables and charts, commands without the place that they lead to."""
    kinds = (app.title, app.caption, app.text, app.markdown, app.code, app.info, app.warning, app.error, app.subheader)
    return re.sub(r"probe --workspace \S+ ", "probe ", "\n".join(str(element.value) for kind in kinds for element in kind))
