use super::*;
use crate::spec::AttachPolicy;

fn spec(volume_type: EbsType, iops: Option<u32>, throughput: Option<u32>) -> EbsSpec {
    EbsSpec {
        volume_type,
        iops,
        throughput,
        encrypted: None,
        kms_key: None,
        zone: None,
        snapshot: None,
        attach: AttachPolicy::Stay,
    }
}

#[test]
fn the_ends_of_every_range_are_allowed_and_nothing_beyond() {
    use EbsType::{Gp2, Gp3, Io1, Io2, Sc1, St1, Standard};
    for (volume_type, least, most) in [
        (Gp3, 1, 65_536),
        (Gp2, 1, 16_384),
        (Io2, 4, 65_536),
        (Io1, 4, 16_384),
        (St1, 125, 16_384),
        (Sc1, 125, 16_384),
        (Standard, 1, 1_024),
    ] {
        let iops = matches!(volume_type, Io1 | Io2).then_some(100);
        let check = |gib| spec(volume_type, iops, None).check(Bytes::gib(gib));
        assert_eq!((check(least), check(most)), (Ok(()), Ok(())), "{volume_type}");
        assert!(check(least - 1).is_err() && check(most + 1).is_err(), "{volume_type}");
    }
}

#[test]
fn iops_are_limited_by_type_and_size() {
    use EbsType::{Gp3, Io1, Io2};
    for (volume_type, gib, iops, right) in [
        (Gp3, 1, 3_000, true),
        (Gp3, 1, 3_001, false),
        (Gp3, 7, 3_500, true),
        (Gp3, 1_000, 2_999, false),
        (Gp3, 160, 80_000, true),
        (Gp3, 1_000, 80_001, false),
        (Io1, 4, 100, true),
        (Io1, 4, 200, true),
        (Io1, 4, 201, false),
        (Io1, 4, 99, false),
        (Io1, 2_000, 64_000, true),
        (Io1, 2_000, 64_001, false),
        (Io2, 4, 4_000, true),
        (Io2, 4, 4_001, false),
        (Io2, 256, 256_000, true),
        (Io2, 65_536, 256_001, false),
    ] {
        let found = spec(volume_type, Some(iops), None).check(Bytes::gib(gib));
        assert_eq!(found.is_ok(), right, "{volume_type} {gib} {iops}: {found:?}");
    }
}

#[test]
fn throughput_is_limited_by_the_iops() {
    for (iops, throughput, right) in [
        (None, 125, true),
        (None, 124, false),
        (None, 750, true),
        (None, 751, false),
        (Some(8_000), 2_000, true),
        (Some(7_999), 2_000, false),
        (Some(80_000), 2_001, false),
    ] {
        let found = spec(EbsType::Gp3, iops, Some(throughput)).check(Bytes::gib(500));
        assert_eq!(found.is_ok(), right, "{iops:?} {throughput}: {found:?}");
    }
}

#[test]
fn a_broken_limit_is_told_with_its_source_and_what_to_write() {
    use EbsType::{Gp2, Gp3, Io1, St1};
    let ten = Bytes::gib(10);
    for (volume_type, iops, throughput, size, told) in [
        (Gp2, Some(100), None, ten, "`iops=100`: iops needs type=gp3, io1 or io2; the type is gp2"),
        (Gp2, None, Some(200), ten, "`throughput=200`: throughput needs type=gp3; the type is gp2"),
        (Io1, None, None, ten, "`type=io1`: it needs iops"),
        (Io1, None, None, ten, "add iops=N, 100 to 500 at 10GiB"),
        (Io1, Some(600), None, ten, "at most 50 for each GiB, 500 at 10GiB"),
        (Io1, Some(600), None, ten, "write iops=500 or less, or size=12GiB or more"),
        (Gp3, Some(100), None, ten, "or remove it: gp3 has 3000 without"),
        (Gp3, None, Some(800), ten, "write throughput=750 or less, or iops=3200 or more"),
        (Gp3, None, Some(9_000), ten, "gp3 takes 125 to 2000 MiB/s"),
        (St1, None, None, ten, "`size=10GiB`: st1 takes 125GiB to 16TiB"),
        (St1, None, None, ten, "write size=125GiB or more, or another type, such as gp3"),
        (Gp2, None, None, Bytes::gib(20_000), "type=gp3 or io2, which take 64TiB"),
    ] {
        let found = spec(volume_type, iops, throughput).check(size).unwrap_err().to_string();
        assert!(found.contains(told), "{told}\n{found}");
        assert!(found.contains(" needs type=") || found.contains(SOURCE), "{found}");
    }
}
