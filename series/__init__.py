"""The notebooks as a series: their run and its report, the outputs that stay, and what they need and leave on AWS."""
