"""The pages, in the order of the decision. Each is a script that Streamlit runs; none has SQL or arithmetic.

The folder is not called `pages`: Streamlit would find that by its name and, where a link to a page is the first request of all,
run the page's file alone, without `app.py`.
"""
