"""What is shown: five pages over the store, read-only, run by Streamlit."""
