"""What is remembered: values, schema, migrations and the store."""
