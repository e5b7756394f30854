//! The shell around the rules: observe, decide, journal, act, verify, journal. It chooses no goals.
