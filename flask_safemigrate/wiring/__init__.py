"""Where an application, its history and its databases are joined to the workflows."""
