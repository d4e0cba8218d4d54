console.log(`the downloads of '${process.env.STATE_cache}' would be kept`);
