"""What a page says."""


def shown(app):
    """Return all text that a page shows outside of tables and charts."""
    kinds = (app.title, app.caption, app.text, app.markdown, app.code, app.info, app.warning, app.error, app.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind)
