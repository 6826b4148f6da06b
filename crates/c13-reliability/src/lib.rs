//! Keeps a service's calls succeeding while the things it depends on fail.
