"""The report for the person who must decide: one HTML file, without a request to anywhere."""
