"""Facts that were read, as plain records: the project, its history and its databases."""
