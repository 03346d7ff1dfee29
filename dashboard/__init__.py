"""What is shown: pages over the store, read-only, run by Streamlit."""
