"""One node of the cluster: channels, subscriptions, publishing, presence, the other nodes, hooks and metrics."""
