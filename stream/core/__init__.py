"""What is right and wrong about keeping records in step: plain functions, no clock, no network, no engine."""
