"""Tools: functions the model may call."""
