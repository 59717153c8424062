"""What the soak, the bench, the quickstart and the client tests share."""
