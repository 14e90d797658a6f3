"""The only room that names Faust, aiokafka or SQLite: app, lanes, units, logs."""
