//! Disguises: what a file is instead of what its name says, by its first bytes.

/// What a file that starts with `start` is instead, and the cure; `None` where nothing is known.
pub fn disguise(start: &[u8]) -> Option<&'static str> {
    let text = start.trim_ascii_start();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if start.is_empty() {
        Some("is empty: download it again")
    } else if start.iter().all(|&byte| byte == 0) {
        Some("holds zeros only, as after a download that broke off: download it again")
    } else if text.starts_with(b"version https://git-lfs") {
        Some("is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder")
    } else if text.starts_with(b"<") {
        Some("is a web page, not the file itself: download it again")
    } else if start.starts_with(b"GGUF") {
        Some("is a GGUF file: give the model's safetensors in diffusers layout")
    } else if start.starts_with(b"PK\x03\x04") || start.starts_with(b"\x80\x02") {
        Some("is PyTorch's pickle format: save the model with safe_serialization=True")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_often_downloaded_instead_is_known() {
        let told = |start: &[u8]| disguise(start).unwrap_or_default();
        assert!(told(b"version https://git-lfs.github.com/spec/v1\noid").contains("git lfs pull"));
        assert!(told(b"\n<!DOCTYPE html>").contains("web page"));
        assert!(told(b"GGUF\x03\0\0\0").contains("GGUF"));
        assert!(told(b"PK\x03\x04\0\0").contains("safe_serialization"));
        assert!(told(b"").contains("empty"));
        assert!(told(&[0; 64]).contains("zeros"));
        assert_eq!(disguise(b"{\"a\": 1}"), None);
        assert_eq!(disguise(b"\x40\x1f\0\0\0\0\0\0{"), None);
    }
}
