console.log(`ends ${process.env.INPUT_NUMBER}`);
