"""Flask-Migrate whose upgrades cannot lose data."""

from flask_safemigrate.extension import SafeMigrate

__version__ = "0.1.0"

__all__ = ["SafeMigrate", "__version__"]
