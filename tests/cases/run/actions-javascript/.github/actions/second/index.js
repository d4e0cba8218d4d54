console.log(`second: state [${process.env.STATE_began || ""}]`);
