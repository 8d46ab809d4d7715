//! Blob stores: URLs, listing, staging and atomic puts.
