"""How to read and write the entities of one system; knows nothing of streams, links or Kafka."""
