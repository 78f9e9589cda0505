"""The demo company, Larkfield Group: invented people and figures, built through the same services as real data."""
