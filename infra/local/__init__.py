"""The system on one machine: the same template, deployed to a stand-in for AWS, behind a stable address."""
