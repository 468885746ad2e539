"""A page that uploads pictures and plays their preview, and the small application behind it."""
