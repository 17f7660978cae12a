"""What happens inside a model when it says something: functions that give arrays, and plots of them."""
