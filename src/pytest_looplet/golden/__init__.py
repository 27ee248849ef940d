"""What sessions are compared with: recordings and snapshots, and the changes that wait for a decision."""
