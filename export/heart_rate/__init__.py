"""Heart rate judged on recordings, made traces and rendered clips, beside the peers' methods."""
