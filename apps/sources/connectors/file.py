"""Files that a person uploads, or that the command line reads: nothing is pulled."""

from apps.sources.connector import Connector


class Files(Connector):
    kind = "file"
    label = "Files I upload"
    explanation = "Request logs, cloud bills or ready usage, uploaded on the import page or read by `manage.py ingest`."

    def check(self) -> str:
        return "Files are read when you import them."
