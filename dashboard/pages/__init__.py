"""The pages, in the order of the decision. Each is a script that Streamlit runs; none has SQL or arithmetic."""
