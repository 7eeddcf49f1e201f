{ nixactions, nixaction, stage }:
nixactions.mkWorkflow { name = stage; jobs = { }; }
