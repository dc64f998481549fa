//! What mkfs may be told: the flags that leave a whole, crash-safe, growable file system.
//!
//! Not among them, for growth: `bigalloc`, `meta_bg` and `sparse_super2`, which the kernel does
//! not grow online.

/// What a flag, or a name after it, takes.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    Nothing,
    /// A number with an optional unit of mkfs's.
    Number,
    /// A percentage up to 50, with an optional fraction.
    Percent,
    Words(&'static [&'static str]),
    /// `name=value` pairs.
    Names(&'static [(&'static str, Takes)]),
    /// Features of ext4; `^` turns one off where that is allowed.
    Features {
        on: &'static [&'static str],
        off: &'static [&'static str],
    },
}

use Takes::{Features, Names, Nothing, Number, Percent, Words};

const BIT: Takes = Words(&["0", "1"]);

pub(super) const EXT4: &[(char, Takes)] = &[
    ('b', Words(&["1024", "2048", "4096"])),
    (
        'E',
        Names(&[
            ("discard", Nothing),
            ("lazy_itable_init", BIT),
            ("lazy_journal_init", BIT),
            ("nodiscard", Nothing),
            ("packed_meta_blocks", BIT),
            ("resize", Number),
            ("stride", Number),
            ("stripe_width", Number),
        ]),
    ),
    ('G', Number),
    ('i', Number),
    ('I', Words(&["256", "512", "1024"])),
    ('J', Names(&[("fast_commit_size", Number), ("size", Number)])),
    ('m', Percent),
    ('N', Number),
    (
        'O',
        Features {
            on: &[
                "64bit",
                "casefold",
                "dir_index",
                "dir_nlink",
                "ea_inode",
                "encrypt",
                "ext_attr",
                "extent",
                "extra_isize",
                "fast_commit",
                "filetype",
                "flex_bg",
                "has_journal",
                "huge_file",
                "inline_data",
                "large_dir",
                "large_file",
                "metadata_csum",
                "metadata_csum_seed",
                "orphan_file",
                "project",
                "quota",
                "resize_inode",
                "sparse_super",
                "verity",
            ],
            // Not: has_journal (crashes), resize_inode and flex_bg (growth), extent, 64bit (size).
            off: &[
                "casefold",
                "dir_nlink",
                "ea_inode",
                "encrypt",
                "fast_commit",
                "huge_file",
                "inline_data",
                "large_dir",
                "metadata_csum",
                "metadata_csum_seed",
                "orphan_file",
                "project",
                "quota",
                "verity",
            ],
        },
    ),
    ('T', Words(&["small", "big", "huge", "news", "largefile", "largefile4"])),
];

pub(super) const XFS: &[(char, Takes)] = &[
    ('b', Names(&[("size", Words(&["1024", "2048", "4096"]))])),
    (
        'd',
        Names(&[
            ("agcount", Number),
            ("agsize", Number),
            ("noalign", Nothing),
            ("su", Number),
            ("sunit", Number),
            ("sw", Number),
            ("swidth", Number),
        ]),
    ),
    (
        'i',
        Names(&[
            ("maxpct", Number),
            ("nrext64", BIT),
            ("perblock", Number),
            ("size", Words(&["512", "1024", "2048"])),
            ("sparse", BIT),
        ]),
    ),
    ('K', Nothing),
    ('l', Names(&[("size", Number), ("su", Number), ("sunit", Number)])),
    (
        'm',
        Names(&[
            ("bigtime", BIT),
            ("crc", Words(&["1"])),
            ("finobt", BIT),
            ("inobtcount", BIT),
            ("reflink", BIT),
            ("rmapbt", BIT),
        ]),
    ),
    ('n', Names(&[("size", Number)])),
    ('s', Names(&[("size", Words(&["512", "1024", "2048", "4096"]))])),
];

/// Flags that people try, with a reason of their own.
pub(super) const REFUSED: &[(&[char], &str)] = &[
    (&['F', 'f'], "hawser formats only a device that is proven blank, and never forces"),
    (&['n', 'S', 'q', 'v', 'V', 't', 'M', 'o'], "it is not a setting of the file system"),
    (&['d', 'l', 'p', 'z', 'c', 'C', 'r'], "it reads or writes something else than the volume"),
    (&['L', 'U'], "hawser sets and checks label and UUID itself"),
];
