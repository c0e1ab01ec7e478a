"""Lossless reading and editing of SQLite's DDL: text in, text out, no database."""
