"""What people are shown of the state: frames, JSON, snapshots, lists, exports."""
