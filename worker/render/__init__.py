"""The renderer: from a preview payload to pictures. Knows neither queue nor Redis; usable as a library."""
