//! Which procedure of NFSv3 takes which arguments and answers with what.

use nfs3_client::nfs3_types::{
    nfs3::*,
    xdr_codec::{Pack, Unpack, Void},
};

/// The arguments of a procedure, and with them the procedure.
pub(super) trait Procedure: Pack + Send + Sync {
    const NUMBER: NFS_PROGRAM;
    type Done: Unpack + Send;
    type Failed: Unpack + Send;
}

macro_rules! procedures {
    ($($arguments:ty => $number:ident, $done:ty, $failed:ty;)+) => {
        $(impl Procedure for $arguments {
            const NUMBER: NFS_PROGRAM = NFS_PROGRAM::$number;
            type Done = $done;
            type Failed = $failed;
        })+
    };
}

procedures! {
    GETATTR3args => NFSPROC3_GETATTR, GETATTR3resok, Void;
    SETATTR3args => NFSPROC3_SETATTR, SETATTR3resok, SETATTR3resfail;
    LOOKUP3args<'_> => NFSPROC3_LOOKUP, LOOKUP3resok, LOOKUP3resfail;
    READ3args => NFSPROC3_READ, READ3resok<'static>, READ3resfail;
    WRITE3args<'_> => NFSPROC3_WRITE, WRITE3resok, WRITE3resfail;
    CREATE3args<'_> => NFSPROC3_CREATE, CREATE3resok, CREATE3resfail;
    MKDIR3args<'_> => NFSPROC3_MKDIR, MKDIR3resok, MKDIR3resfail;
    REMOVE3args<'_> => NFSPROC3_REMOVE, REMOVE3resok, REMOVE3resfail;
    RMDIR3args<'_> => NFSPROC3_RMDIR, RMDIR3resok, RMDIR3resfail;
    RENAME3args<'_, '_> => NFSPROC3_RENAME, RENAME3resok, RENAME3resfail;
    READDIRPLUS3args => NFSPROC3_READDIRPLUS, READDIRPLUS3resok<'static>, READDIRPLUS3resfail;
    FSSTAT3args => NFSPROC3_FSSTAT, FSSTAT3resok, FSSTAT3resfail;
    COMMIT3args => NFSPROC3_COMMIT, COMMIT3resok, COMMIT3resfail;
}
