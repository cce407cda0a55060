//! fail2ban
