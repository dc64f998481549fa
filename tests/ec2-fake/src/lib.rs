//! An EC2 for tests.
