"""`make deploy`: apply an overlay and move the traffic step by step. Needs only Python and kubectl."""
