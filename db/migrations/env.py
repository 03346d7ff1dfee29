"""Run migrations on the connection that `db.upgrade` passes; its transaction is the caller's."""

from alembic import context

from db.schema import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True)
context.run_migrations()
