//! The bytes of a pickle, taken piece by piece.

use super::decode::PickleError;

pub(super) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], PickleError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest
            .get(..len)
            .ok_or(PickleError::Truncated(self.bytes.len()))?;
        self.at += len;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, PickleError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let cut = PickleError::Truncated(self.bytes.len());
        self.take(N)?.first_chunk().copied().ok_or(cut)
    }

    /// A little-endian count of `width` bytes.
    pub(super) fn count(&mut self, width: usize) -> Result<usize, PickleError> {
        let mut wide = [0; 8];
        for (to, from) in wide.iter_mut().zip(self.take(width)?) {
            *to = *from;
        }
        usize::try_from(u64::from_le_bytes(wide))
            .map_err(|_| PickleError::Truncated(self.bytes.len()))
    }

    /// A line without its end.
    pub(super) fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|byte| *byte == b'\n');
        let line = self.take(len.ok_or(PickleError::Truncated(self.bytes.len()))?)?;
        self.at += 1;
        Ok(line)
    }
}

/// A little-endian two's complement number of any length, or the nearest that fits.
pub(super) fn saturated(bytes: &[u8]) -> i64 {
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let fill = if negative { 0xff } else { 0 };
    let mut low = [fill; 8];
    for (to, from) in low.iter_mut().zip(bytes) {
        *to = *from;
    }
    let number = i64::from_le_bytes(low);
    let rest = bytes.get(8..).unwrap_or_default();
    let fits = rest.iter().all(|byte| *byte == fill) && (number < 0) == negative;
    match (fits, negative) {
        (true, _) => number,
        (false, true) => i64::MIN,
        (false, false) => i64::MAX,
    }
}
