//! ZooKeeper's encoding, jute: big-endian numbers, and texts with their lengths before them.

/// What is sent.
#[derive(Debug, Default)]
pub(super) struct Out(Vec<u8>);

impl Out {
    pub(super) fn int(mut self, value: i32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn long(mut self, value: i64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn flag(mut self, value: bool) -> Self {
        self.0.push(u8::from(value));
        self
    }

    pub(super) fn bytes(self, value: &[u8]) -> Self {
        // A longer one is refused by the server, which takes a megabyte.
        let mut out = self.int(i32::try_from(value.len()).unwrap_or(i32::MAX));
        out.0.extend(value);
        out
    }

    pub(super) fn text(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    pub(super) fn append(mut self, body: &[u8]) -> Self {
        self.0.extend(body);
        self
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// It is not what a ZooKeeper server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its answer cannot be read")]
pub(super) struct Malformed;

/// What was received; it is read from the front.
#[derive(Debug)]
pub(super) struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn int(&mut self) -> Result<i32, Malformed> {
        self.take().map(i32::from_be_bytes)
    }

    pub(super) fn long(&mut self) -> Result<i64, Malformed> {
        self.take().map(i64::from_be_bytes)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        self.take().map(|[byte]| byte != 0)
    }

    /// Nothing (-1) is empty.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = match self.int()? {
            -1 => 0,
            length => usize::try_from(length).map_err(|_| Malformed)?,
        };
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    pub(super) fn texts(&mut self) -> Result<Vec<String>, Malformed> {
        let count = self.int()?.max(0);
        (0..count).map(|_| self.text().map(str::to_owned)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let bytes = Out::default().int(-7).long(1 << 40).flag(true).text("läuft").bytes(&[]).done();
        let mut input = In::new(&bytes);
        assert_eq!((input.int(), input.long(), input.flag()), (Ok(-7), Ok(1 << 40), Ok(true)));
        assert_eq!((input.text(), input.bytes()), (Ok("läuft"), Ok(&[][..])));
        assert_eq!(input.int(), Err(Malformed));
    }

    #[test]
    fn an_absurd_length_is_refused_and_not_reserved() {
        let mut texts = Out::default().int(i32::MAX).int(1 << 30).done();
        assert_eq!(In::new(&texts).texts(), Err(Malformed));
        texts.truncate(5);
        assert_eq!(In::new(&texts).texts(), Err(Malformed));
        assert_eq!(In::new(&(-2_i32).to_be_bytes()).bytes(), Err(Malformed));
    }
}
