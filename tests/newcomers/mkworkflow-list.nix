{ nixactions, ... }:
nixactions.mkWorkflow [ { bash = "make"; } ]
