//! Start-up settings.
