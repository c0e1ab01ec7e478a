"""What pending revisions would lock, lose, break or fail on: operations in, findings out."""
