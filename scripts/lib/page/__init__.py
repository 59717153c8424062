"""The page of metrics in a real browser, and the rules of alerts in Prometheus's own checker."""
