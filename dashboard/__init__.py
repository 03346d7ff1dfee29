"""What is shown: six pages over the store, read-only, run by Streamlit."""
